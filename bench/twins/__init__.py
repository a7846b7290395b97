"""Hand-written C++ for one shape each: the fastest we know how to make it, compiled where g++ is there."""
