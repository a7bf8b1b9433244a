#!/usr/bin/env bash
# Fetches the OHIF viewer (built, about 50 MB) from npm into .cache/ohif, for the acceptance tests. Needs npm alone.
set -euo pipefail
version=3.12.10
folder="$(cd "$(dirname "$0")/../.." && pwd)/.cache/ohif"

if [ "$(cat "$folder/version" 2>/dev/null)" = "$version" ]; then
  echo "OHIF $version is in $folder"
  exit
fi
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
npm pack --silent "@ohif/app@$version"
tar -xzf "ohif-app-$version.tgz" --strip-components 1 package/dist
rm "ohif-app-$version.tgz"
echo "$version" >version
echo "OHIF $version is now in $folder"
