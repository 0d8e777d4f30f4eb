"""Losses and labels corrected for the noise: by a transition matrix, or by what is learned."""
