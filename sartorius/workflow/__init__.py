"""The whole workflow of a recipe, from folds to submission, as stages that are kept, resumed and run side by side.

A workflow file (:mod:`settings`) and its configs (:mod:`recipes`) become stages (:mod:`plan`), each one command line of
tools/. Snakemake orders them and runs them here or on a cluster (:mod:`runner`, ``Snakefile``); every stage is started
through :mod:`run_stage`, which knows by content what is done already (:mod:`records`).
"""
