"""Fuzzing of the media plane with libFuzzer, the address sanitizer and the undefined behaviour sanitizer.

`targets` are what is fuzzed, `seeds` the well-formed inputs that it begins with, `corpus/` what earlier runs have found
worth keeping: at most one small file for each thing that can happen. tests/fuzz replays all of it on the ordinary
build. What reads documents is Python: `documents` are its targets, `mutation` and `evolution` look for them.
"""
