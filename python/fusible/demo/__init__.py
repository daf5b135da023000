"""The main job in one command: a language model is traced, fused, checked, timed, and writes."""
