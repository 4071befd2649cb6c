// For readlink and PATH_MAX.
#define _GNU_SOURCE
#include "COpenCL.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Every function used: result, name in the library, parameters. Handles and events are plain pointers.
#define FUNCTIONS(F)                                                                                                   \
  F(int32_t, clGetPlatformIDs, (uint32_t, kcl_platform*, uint32_t*))                                                   \
  F(int32_t, clGetPlatformInfo, (kcl_platform, uint32_t, size_t, void*, size_t*))                                      \
  F(int32_t, clGetDeviceIDs, (kcl_platform, uint64_t, uint32_t, kcl_device*, uint32_t*))                               \
  F(int32_t, clGetDeviceInfo, (kcl_device, uint32_t, size_t, void*, size_t*))                                          \
  F(kcl_context, clCreateContext,                                                                                      \
    (const intptr_t*, uint32_t, const kcl_device*, void (*)(const char*, const void*, size_t, void*), void*,           \
     int32_t*))                                                                                                        \
  F(int32_t, clReleaseContext, (kcl_context))                                                                          \
  F(kcl_queue, clCreateCommandQueue, (kcl_context, kcl_device, uint64_t, int32_t*))                                    \
  F(int32_t, clReleaseCommandQueue, (kcl_queue))                                                                       \
  F(kcl_buffer, clCreateBuffer, (kcl_context, uint64_t, size_t, void*, int32_t*))                                      \
  F(int32_t, clReleaseMemObject, (kcl_buffer))                                                                         \
  F(int32_t, clEnqueueWriteBuffer,                                                                                     \
    (kcl_queue, kcl_buffer, uint32_t, size_t, size_t, const void*, uint32_t, const void*, void*))                      \
  F(int32_t, clEnqueueReadBuffer,                                                                                      \
    (kcl_queue, kcl_buffer, uint32_t, size_t, size_t, void*, uint32_t, const void*, void*))                            \
  F(kcl_program, clCreateProgramWithSource, (kcl_context, uint32_t, const char**, const size_t*, int32_t*))            \
  F(kcl_program, clCreateProgramWithBinary,                                                                            \
    (kcl_context, uint32_t, const kcl_device*, const size_t*, const unsigned char**, int32_t*, int32_t*))              \
  F(int32_t, clBuildProgram,                                                                                           \
    (kcl_program, uint32_t, const kcl_device*, const char*, void (*)(kcl_program, void*), void*))                      \
  F(int32_t, clGetProgramBuildInfo, (kcl_program, kcl_device, uint32_t, size_t, void*, size_t*))                       \
  F(int32_t, clGetProgramInfo, (kcl_program, uint32_t, size_t, void*, size_t*))                                        \
  F(int32_t, clReleaseProgram, (kcl_program))                                                                          \
  F(kcl_kernel, clCreateKernel, (kcl_program, const char*, int32_t*))                                                  \
  F(int32_t, clReleaseKernel, (kcl_kernel))                                                                            \
  F(int32_t, clSetKernelArg, (kcl_kernel, uint32_t, size_t, const void*))                                              \
  F(int32_t, clEnqueueNDRangeKernel,                                                                                   \
    (kcl_queue, kcl_kernel, uint32_t, const size_t*, const size_t*, const size_t*, uint32_t, const void*, void*))      \
  F(int32_t, clFlush, (kcl_queue))                                                                                     \
  F(int32_t, clFinish, (kcl_queue))

#define DECLARE(RESULT, NAME, PARAMETERS) static RESULT(*p_##NAME) PARAMETERS;
FUNCTIONS(DECLARE)

static char reason[1024];

static void* open_library(const char* path) {
  if (path) return dlopen(path, RTLD_NOW | RTLD_LOCAL);
  // Beside the executable first, so that an unpacked bundle uses the loader it came with.
  char beside[PATH_MAX + 32];
  ssize_t length = readlink("/proc/self/exe", beside, PATH_MAX - 1);
  if (length > 0) {
    beside[length] = 0;
    char* slash = strrchr(beside, '/');
    if (slash) {
      strcpy(slash + 1, "libOpenCL.so.1");
      void* library = dlopen(beside, RTLD_NOW | RTLD_LOCAL);
      if (library) return library;
    }
  }
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  return library ? library : dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
}

const char* kcl_open(const char* path) {
  void* library = open_library(path);
  if (!library) {
    const char* text = dlerror();
    snprintf(reason, sizeof reason, "%s", text ? text : "libOpenCL.so.1 could not be opened");
    return reason;
  }
#define RESOLVE(RESULT, NAME, PARAMETERS)                                                                              \
  p_##NAME = (RESULT(*) PARAMETERS)dlsym(library, #NAME);                                                              \
  if (!p_##NAME) {                                                                                                     \
    snprintf(reason, sizeof reason, "%s lacks the function %s", path ? path : "libOpenCL.so.1", #NAME);                \
    return reason;                                                                                                     \
  }
  FUNCTIONS(RESOLVE)
  return NULL;
}

int32_t kcl_get_platforms(uint32_t count, kcl_platform* platforms, uint32_t* found) {
  return p_clGetPlatformIDs ? p_clGetPlatformIDs(count, platforms, found) : KCL_MISSING_FUNCTION;
}
int32_t kcl_get_platform_info(kcl_platform platform, uint32_t what, size_t size, void* value, size_t* needed) {
  return p_clGetPlatformInfo(platform, what, size, value, needed);
}
int32_t kcl_get_devices(kcl_platform platform, uint64_t type, uint32_t count, kcl_device* devices, uint32_t* found) {
  return p_clGetDeviceIDs(platform, type, count, devices, found);
}
int32_t kcl_get_device_info(kcl_device device, uint32_t what, size_t size, void* value, size_t* needed) {
  return p_clGetDeviceInfo(device, what, size, value, needed);
}
kcl_context kcl_create_context(kcl_platform platform, kcl_device device, int32_t* code) {
  intptr_t properties[3] = {KCL_CONTEXT_PLATFORM, (intptr_t)platform, 0};
  return p_clCreateContext(properties, 1, &device, NULL, NULL, code);
}
int32_t kcl_release_context(kcl_context context) { return p_clReleaseContext(context); }
kcl_queue kcl_create_queue(kcl_context context, kcl_device device, int32_t* code) {
  return p_clCreateCommandQueue(context, device, 0, code);
}
int32_t kcl_release_queue(kcl_queue queue) { return p_clReleaseCommandQueue(queue); }
kcl_buffer kcl_create_buffer(kcl_context context, size_t size, int32_t* code) {
  return p_clCreateBuffer(context, KCL_MEM_READ_WRITE, size, NULL, code);
}
int32_t kcl_release_buffer(kcl_buffer buffer) { return p_clReleaseMemObject(buffer); }
int32_t kcl_write_buffer(kcl_queue queue, kcl_buffer buffer, size_t offset, size_t size, const void* source) {
  return p_clEnqueueWriteBuffer(queue, buffer, 1, offset, size, source, 0, NULL, NULL);
}
int32_t kcl_read_buffer(kcl_queue queue, kcl_buffer buffer, size_t offset, size_t size, void* destination) {
  return p_clEnqueueReadBuffer(queue, buffer, 1, offset, size, destination, 0, NULL, NULL);
}
kcl_program kcl_create_program(kcl_context context, const char* source, size_t length, int32_t* code) {
  return p_clCreateProgramWithSource(context, 1, &source, &length, code);
}
kcl_program kcl_create_program_from_binary(kcl_context context, kcl_device device, const unsigned char* binary,
                                           size_t length, int32_t* code) {
  int32_t status = KCL_SUCCESS;
  kcl_program program = p_clCreateProgramWithBinary(context, 1, &device, &length, &binary, &status, code);
  if (*code == KCL_SUCCESS && status != KCL_SUCCESS) *code = status;
  return program;
}
int32_t kcl_build_program(kcl_program program, kcl_device device, const char* options) {
  return p_clBuildProgram(program, 1, &device, options, NULL, NULL);
}
int32_t kcl_get_build_log(kcl_program program, kcl_device device, size_t size, char* text, size_t* needed) {
  return p_clGetProgramBuildInfo(program, device, KCL_PROGRAM_BUILD_LOG, size, text, needed);
}
int32_t kcl_get_program_info(kcl_program program, uint32_t what, size_t size, void* value, size_t* needed) {
  return p_clGetProgramInfo(program, what, size, value, needed);
}
int32_t kcl_release_program(kcl_program program) { return p_clReleaseProgram(program); }
kcl_kernel kcl_create_kernel(kcl_program program, const char* name, int32_t* code) {
  return p_clCreateKernel(program, name, code);
}
int32_t kcl_release_kernel(kcl_kernel kernel) { return p_clReleaseKernel(kernel); }
int32_t kcl_set_argument(kcl_kernel kernel, uint32_t index, size_t size, const void* value) {
  return p_clSetKernelArg(kernel, index, size, value);
}
int32_t kcl_enqueue_kernel(kcl_queue queue, kcl_kernel kernel, uint32_t dimensions, const size_t* global,
                           const size_t* local) {
  return p_clEnqueueNDRangeKernel(queue, kernel, dimensions, NULL, global, local, 0, NULL, NULL);
}
int32_t kcl_flush(kcl_queue queue) { return p_clFlush(queue); }
int32_t kcl_finish(kcl_queue queue) { return p_clFinish(queue); }
