"""A service that does nothing but say that it is healthy, for the tests of whoever runs services.

Started with FAIL_AT_START=1 it ends at once, with a last word in its log.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main() -> None:
    if os.environ.get("FAIL_AT_START"):
        sys.exit("the database is on fire")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(os.environ["LISTEN"])
    server.start()
    stopping.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
