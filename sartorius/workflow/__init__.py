"""A whole workflow, from folds to submission, as stages that are kept, resumed and run side by side.

A workflow file (:mod:`settings`), its configs and its data (:mod:`facts`) become stages (:mod:`plan`), each one command
line of tools/. Snakemake orders the stages and runs them here or on a cluster (:mod:`runner`, ``Snakefile``). It starts
each stage through :mod:`run_stage`, which decides by content whether the stage is done already (:mod:`records`).
"""
