"""Everything durable: tables, transactions, and one module of queries per noun.

Only this package (and `migrations/`) imports SQLAlchemy. A repository function takes a `Transaction` first;
whoever opens the transaction decides what commits together.
"""
