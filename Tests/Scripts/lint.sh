#!/usr/bin/env bash
# What the formatters do not check: file lengths, names that differ only in case. (Import rules: ArchitectureTests.)
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
files() { git ls-files --cached --others --exclude-standard "$@"; }

while IFS= read -r file; do
  # A generator's code is as long as what it was made from.
  case $file in *.pb.swift) continue ;; esac
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 500 ]; then
    echo "$file has $lines lines; at most 500: split it by subject" >&2
    failed=1
  fi
done < <(files '*.swift' '*.c' '*.h' '*.cl' '*.py' '*.sh')

twins=$(files | awk '{ n = split($0, parts, "/"); path = ""; for (i = 1; i <= n; i++) { path = path "/" parts[i]; print path } }' |
  sort -u | tr '[:upper:]' '[:lower:]' | sort | uniq -d)
if [ -n "$twins" ]; then
  printf 'names that differ only in case:\n%s\n' "$twins" >&2
  failed=1
fi
[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
