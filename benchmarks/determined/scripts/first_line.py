"""Says when the trial's own code begins."""

import time

print(f"began {time.time()}", flush=True)
