import Foundation
import Glibc

@testable import KilnData

/// A web server on a loopback port that serves one file, in parts if it is asked to, and may hang up early.
final class Server: @unchecked Sendable {  // the state is read and written inside `monitor.locked`
  let port: UInt16
  private let listener: Int32
  private let monitor = Monitor()
  private let content: [UInt8]
  private var cut: Int?
  private var known: [String] = []
  private let ranges: Bool

  /// `cutAfter`: the first answer ends after so many bytes, as if the line broke.
  init(_ content: [UInt8], cutAfter: Int? = nil, ranges: Bool = true) throws {
    (self.content, cut, self.ranges) = (content, cutAfter, ranges)
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let (listener, bound) = (
      listener,
      withUnsafeMutablePointer(to: &address) { [listener] pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(listener, $0, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &size) == 0
        }
      }
    )
    guard bound else { throw DataError(file: "server", rule: "cannot listen", fix: "") }
    port = UInt16(bigEndian: address.sin_port)
    _ = Monitor.startThread { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        if connection < 0 { return }
        self?.serve(connection)
        close(connection)
      }
    }
  }

  /// The first line and the range of each request.
  var requests: [String] { monitor.locked { known } }

  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private func serve(_ connection: Int32) {
    var request: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") {
      let got = recv(connection, &piece, piece.count, 0)
      if got <= 0 { return }
      request += piece[..<got]
    }
    let lines = String(decoding: request, as: UTF8.self).components(separatedBy: "\r\n")
    let range = lines.first { $0.lowercased().hasPrefix("range: bytes=") }
    let from = range.flatMap { Int($0.dropFirst("range: bytes=".count).prefix { $0.isNumber }) } ?? 0
    let path = lines[0].split(separator: " ")[1]
    let limit = monitor.locked {
      known.append(lines[0] + (range.map { " " + $0 } ?? ""))
      defer { cut = nil }
      return cut
    }
    guard path == "/file" else {
      put(Array("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8), connection)
      return
    }
    let start = ranges ? from : 0
    if start > 0, start >= content.count {
      put(
        Array("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8), connection)
      return
    }
    var head = start > 0 ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n"
    if start > 0 { head += "Content-Range: bytes \(start)-\(content.count - 1)/\(content.count)\r\n" }
    head += "Content-Length: \(content.count - start)\r\nConnection: close\r\n\r\n"
    put(Array(head.utf8) + content[start..<min(content.count, start + (limit ?? content.count))], connection)
  }

  private func put(_ bytes: [UInt8], _ connection: Int32) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes.withUnsafeBytes {
        send(connection, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      if n <= 0 { return }
      sent += n
    }
  }
}
