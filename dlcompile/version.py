"""The version of dlcompile, and of what its libraries tell about themselves."""

VERSION = "0.1.0"

FORMAT = 2
"""DLC_MODEL_FORMAT of csrc/dlc_model.h: which libraries this version can load"""
