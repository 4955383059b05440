"""A pachd for one machine: the Pachyderm 2.12 gRPC API on a SQLite file and a directory of blobs.

Rooms: `servicer` turns messages into calls and back and keeps no state; `state` holds the rules and never sees
gRPC; `blobs` holds file contents; `errors` the upstream's codes and words.  What is not served answers
UNIMPLEMENTED, naming the call.
"""
