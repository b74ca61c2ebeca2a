"""Run many variants of a pipeline, compare them and recommend one."""
