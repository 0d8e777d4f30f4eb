import os

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # before torch: its profiler is talkative
