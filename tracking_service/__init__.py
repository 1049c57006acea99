"""The tracking service: experiments, runs, metrics, datasets and artifacts.

Three layers: the contract (`*_rpc.py`, `request_reading.py`, `proto_conversion.py`), the domain
(plain Python, named by noun) and the store (`store/`, `tables.py`).
"""
