#!/usr/bin/env bash
# Writes Sources/KilnProtobuf/Generated anew from the .proto files beside this script. Needed only after a change of
# those: the generated code is committed, so that building Kiln needs no protoc.
# Needs protoc (Debian: protobuf-compiler); builds the Swift generator once into .build/protobuf, from the very
# swift-protobuf that Package.swift names.
set -euo pipefail
cd "$(dirname "$0")/../../.."
source=.build/checkouts/swift-protobuf
generator=.build/protobuf/debug/protoc-gen-swift
command -v protoc >/dev/null || Tests/Scripts/setup.sh protobuf-compiler
if ! [ -x "$generator" ]; then
  [ -d "$source" ] || swift package resolve
  swift build --package-path "$source" --scratch-path .build/protobuf --product protoc-gen-swift
fi
protoc --plugin=protoc-gen-swift="$generator" --proto_path=Sources/KilnProtobuf/Protos \
  --swift_out=Sources/KilnProtobuf/Generated --swift_opt=Visibility=Package \
  Sources/KilnProtobuf/Protos/onnx.proto Sources/KilnProtobuf/Protos/tensorboard.proto
