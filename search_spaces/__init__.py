"""With which hyperparameters methods are compared: arms by family, and ready studies."""
