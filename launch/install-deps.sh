#!/usr/bin/env bash
# Installs the libraries that Strata builds on (Debian, Ubuntu): only what is missing, with sudo only when not root. With
# --cluster also what launch/cluster.sh wants.
set -euo pipefail

packages=(g++ pkg-config libopenmpi-dev openmpi-bin libopenblas-dev libsentencepiece-dev libxxhash-dev zlib1g-dev libzstd-dev)
case ${1:-} in
  '') ;;
  --cluster) packages+=(iproute2 openssh-client openssh-server util-linux) ;;
  *) echo "install-deps: unknown option $1; --cluster is the only one" >&2; exit 64 ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "install-deps: apt-get must be there to install: ${missing[*]}; install their equivalents by hand" >&2
    exit 1
  fi
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "install-deps: run as root, or install sudo, to install: ${missing[*]}" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v swift >/dev/null; then
  echo "install-deps: a Swift toolchain of 6.2 or later must be on the PATH: see https://www.swift.org/install" >&2
  exit 1
fi
