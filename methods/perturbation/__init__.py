"""Inputs that are made harder: augmented copies, adversarial perturbations."""
