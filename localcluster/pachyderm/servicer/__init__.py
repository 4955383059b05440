"""The wire of pachd: gRPC messages in and out, no state.  `calls` lists everything that is served."""
