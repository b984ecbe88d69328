"""How channels look names up, peers' and etcd's alike.

gRPC asks DNS again at the earliest 30 s after it asked last. A pod that was restarted keeps its name and has another
address, and DNS may be some seconds late: who asked in between went on calling the former address for the rest of the
30 s. Only a channel whose connection failed asks at all.
"""

from __future__ import annotations

RESOLVE_AGAIN = ("grpc.dns_min_time_between_resolutions_ms", 1_000)
