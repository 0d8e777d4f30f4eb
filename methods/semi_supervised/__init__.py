"""Methods that train on examples without a label, too."""
