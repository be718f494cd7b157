#!/usr/bin/env bash
# Install what the tests on a Slurm need, where this is possible; the tests themselves say what is missing.
set -euo pipefail
if command -v slurmctld && command -v slurmd && command -v munged && command -v sbatch; then exit 0; fi > /dev/null
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "Slurm is not installed, and without root and apt it cannot be: the tests on it will skip"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
(timeout 180 apt-get update -qq && timeout 180 apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge) \
    > "$log" 2>&1 || { tail -n 3 "$log"; echo "Slurm could not be installed: the tests on it will skip"; }
rm -f "$log"
