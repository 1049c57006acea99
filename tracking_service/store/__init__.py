"""The tracking service's queries, one narrow class for each noun.

Each class takes the connection of a running transaction. Methods whose names end in `for_change`
lock what they find until the transaction ends.
"""
