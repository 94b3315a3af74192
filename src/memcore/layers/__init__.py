"""Parts that models share, with parameters or a state of their own: heads, convolutions, positions, MLPs."""
