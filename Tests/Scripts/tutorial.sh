#!/usr/bin/env bash
# Runs every command of a tutorial, in order, in an empty folder: the lines of its ```sh blocks. Fails where one fails.
# Usage: tutorial.sh path/to/kiln docs/tutorials/image.md
set -euo pipefail
kiln=$(realpath "$1")
page=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$kiln" "$work/bin/kiln"
sed -n '/^```sh$/,/^```$/{/^```/!p}' "$page" >"$work/commands.sh"
[ -s "$work/commands.sh" ] || { echo "tutorial: $page has no commands" >&2; exit 1; }
cd "$work"
PATH=$work/bin:$PATH bash -euxo pipefail commands.sh
