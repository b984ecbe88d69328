"""Random legal DDL and DML over about ten tables, under random faults, and the comparison of everything afterwards.

`python -m tests.storm --help`. The generator (generator.py and what it imports) is pure: a seed and a flavour give the
same statements everywhere, and a model of the schema (world.py) sees to it that the source accepts each of them. What
is left out, and why, is in left_out.py.
"""
