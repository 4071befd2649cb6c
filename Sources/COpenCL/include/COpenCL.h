// The part of the OpenCL 1.2 API that Kiln uses, as functions that are looked up in the loader at run time, so that
// nothing has to be installed to build Kiln, and a machine without OpenCL still runs it. Written from the OpenCL
// specification; each function does what the one of the same name there does (kcl_create_buffer: clCreateBuffer).
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct kcl_platform_s* kcl_platform;
typedef struct kcl_device_s* kcl_device;
typedef struct kcl_context_s* kcl_context;
typedef struct kcl_queue_s* kcl_queue;
typedef struct kcl_buffer_s* kcl_buffer;
typedef struct kcl_program_s* kcl_program;
typedef struct kcl_kernel_s* kcl_kernel;

enum {
  KCL_SUCCESS = 0,
  KCL_DEVICE_NOT_FOUND = -1,
  KCL_MEM_OBJECT_ALLOCATION_FAILURE = -4,
  KCL_OUT_OF_RESOURCES = -5,
  KCL_OUT_OF_HOST_MEMORY = -6,
  KCL_BUILD_PROGRAM_FAILURE = -11,
  KCL_INVALID_BUFFER_SIZE = -61,
  // What a call gives when the library has no such function.
  KCL_MISSING_FUNCTION = -9999,

  KCL_PLATFORM_VERSION = 0x0901,
  KCL_PLATFORM_NAME = 0x0902,
  KCL_PLATFORM_VENDOR = 0x0903,

  KCL_DEVICE_TYPE = 0x1000,
  KCL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
  KCL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
  KCL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
  KCL_DEVICE_SINGLE_FP_CONFIG = 0x101B,
  KCL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
  KCL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
  KCL_DEVICE_AVAILABLE = 0x1027,
  KCL_DEVICE_COMPILER_AVAILABLE = 0x1028,
  KCL_DEVICE_NAME = 0x102B,
  KCL_DEVICE_VENDOR = 0x102C,
  KCL_DRIVER_VERSION = 0x102D,
  KCL_DEVICE_VERSION = 0x102F,
  KCL_DEVICE_EXTENSIONS = 0x1030,
  KCL_DEVICE_DOUBLE_FP_CONFIG = 0x1032,
  KCL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT = 0x103A,

  KCL_DEVICE_TYPE_CPU = 1 << 1,
  KCL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT = 1 << 7,

  KCL_MEM_READ_WRITE = 1 << 0,
  KCL_CONTEXT_PLATFORM = 0x1084,

  KCL_PROGRAM_BINARY_SIZES = 0x1165,
  KCL_PROGRAM_BINARIES = 0x1166,
  KCL_PROGRAM_BUILD_LOG = 0x1183,
};
#define KCL_DEVICE_TYPE_ALL 0xFFFFFFFFull

/// Opens the library (`path`, or the usual places if it is NULL). Returns NULL on success, else why it failed; the
/// text lives for ever. Call once, before anything below.
const char* kcl_open(const char* path);

int32_t kcl_get_platforms(uint32_t count, kcl_platform* platforms, uint32_t* found);
int32_t kcl_get_platform_info(kcl_platform platform, uint32_t what, size_t size, void* value, size_t* needed);
int32_t kcl_get_devices(kcl_platform platform, uint64_t type, uint32_t count, kcl_device* devices, uint32_t* found);
int32_t kcl_get_device_info(kcl_device device, uint32_t what, size_t size, void* value, size_t* needed);
kcl_context kcl_create_context(kcl_platform platform, kcl_device device, int32_t* code);
int32_t kcl_release_context(kcl_context context);
kcl_queue kcl_create_queue(kcl_context context, kcl_device device, int32_t* code);
int32_t kcl_release_queue(kcl_queue queue);
kcl_buffer kcl_create_buffer(kcl_context context, size_t size, int32_t* code);
int32_t kcl_release_buffer(kcl_buffer buffer);
int32_t kcl_write_buffer(kcl_queue queue, kcl_buffer buffer, size_t offset, size_t size, const void* source);
int32_t kcl_read_buffer(kcl_queue queue, kcl_buffer buffer, size_t offset, size_t size, void* destination);
kcl_program kcl_create_program(kcl_context context, const char* source, size_t length, int32_t* code);
kcl_program kcl_create_program_from_binary(kcl_context context, kcl_device device, const unsigned char* binary,
                                           size_t length, int32_t* code);
int32_t kcl_build_program(kcl_program program, kcl_device device, const char* options);
int32_t kcl_get_build_log(kcl_program program, kcl_device device, size_t size, char* text, size_t* needed);
int32_t kcl_get_program_info(kcl_program program, uint32_t what, size_t size, void* value, size_t* needed);
int32_t kcl_release_program(kcl_program program);
kcl_kernel kcl_create_kernel(kcl_program program, const char* name, int32_t* code);
int32_t kcl_release_kernel(kcl_kernel kernel);
int32_t kcl_set_argument(kcl_kernel kernel, uint32_t index, size_t size, const void* value);
int32_t kcl_enqueue_kernel(kcl_queue queue, kcl_kernel kernel, uint32_t dimensions, const size_t* global,
                           const size_t* local);
int32_t kcl_flush(kcl_queue queue);
int32_t kcl_finish(kcl_queue queue);
