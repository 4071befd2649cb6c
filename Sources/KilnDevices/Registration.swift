import CKilnStart
import KilnEngine

/// Called before main by CKilnStart's constructor: makes the CPU the default device. It only stores a closure, so that
/// nothing is opened before it is needed.
@_cdecl("kiln_register_devices")
public func registerDevices() {
  DeviceRegistry.register(default: { .cpu })
}
