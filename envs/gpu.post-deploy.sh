# Snakemake runs this in the new environment, in the folder of the run; common.smk says where the project is.
set -eu
: "${TAGDISTILL_PROJECT:?is set by the Snakefile}"
python -m pip install --quiet --extra-index-url https://download.pytorch.org/whl/cu130 torch==2.13.0 \
    -c "$TAGDISTILL_PROJECT/constraints.txt" -e "$TAGDISTILL_PROJECT[train]"
