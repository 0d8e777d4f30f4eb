"""What the commands of the command line do and print: one file a command.

May import: everything below.
"""
