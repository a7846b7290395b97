"""Code written for one shape, as fast as we can make it: what the general engine is measured against."""
