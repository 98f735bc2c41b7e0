#!/bin/sh
# apt-install.sh PACKAGE...: Debian packages, and nothing left of their installation.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "$@"
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*
