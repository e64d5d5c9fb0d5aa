"""Tells which parameters it got, as arguments and in UGRO_CONFIG; standard library only.

Usage: params.py --witness DIR [--NAME VALUE ...]
"""

import json
import os
import sys

import witness

words = sys.argv[1:]
flags = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2])}
with open(os.environ["UGRO_CONFIG"]) as file:
    config = json.load(file)
witness.start(flags.pop("witness"), flags=flags, training=config["training"])
witness.note("end")
