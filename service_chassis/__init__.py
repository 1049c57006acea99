"""What the three servers are bolted onto: start-up, identity, errors, database, AIP mechanics."""
