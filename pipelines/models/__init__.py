"""Networks: the zoo, the calls that training makes of one, and a trained one to load.

May import: `study`.
"""
