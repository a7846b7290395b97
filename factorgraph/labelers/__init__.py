"""What turns raw inputs into graphs and answers back into strings: images of handwriting, lists of tokens."""
