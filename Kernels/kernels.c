#include "Kernels.h"

#include <string.h>

// A new file is added to this list and to `exclude` of the target in Package.swift.
static const char prelude[] = {
#embed "prelude.cl"
    , 0};
static const char random_text[] = {
#embed "random.cl"
    , 0};
static const char elementwise[] = {
#embed "elementwise.cl"
    , 0};
static const char reduce[] = {
#embed "reduce.cl"
    , 0};
static const char scan[] = {
#embed "scan.cl"
    , 0};
static const char sort[] = {
#embed "sort.cl"
    , 0};
static const char rowwise[] = {
#embed "rowwise.cl"
    , 0};
static const char product[] = {
#embed "product.cl"
    , 0};
static const char tiles[] = {
#embed "tiles.cl"
    , 0};
static const char panels[] = {
#embed "panels.cl"
    , 0};
static const char planes[] = {
#embed "planes.cl"
    , 0};
static const char filters[] = {
#embed "filters.cl"
    , 0};
static const char attention[] = {
#embed "attention.cl"
    , 0};
static const char attention_panels[] = {
#embed "attention_panels.cl"
    , 0};
static const char attention_tiles[] = {
#embed "attention_tiles.cl"
    , 0};
static const char convolution[] = {
#embed "convolution.cl"
    , 0};
static const char singles[] = {
#embed "singles.cl"
    , 0};
static const char pool[] = {
#embed "pool.cl"
    , 0};
static const char gather[] = {
#embed "gather.cl"
    , 0};

static const struct {
  const char *name, *text;
} sources[] = {
    {"prelude", prelude},
    {"random", random_text},
    {"elementwise", elementwise},
    {"reduce", reduce},
    {"scan", scan},
    {"sort", sort},
    {"rowwise", rowwise},
    {"product", product},
    {"tiles", tiles},
    {"panels", panels},
    {"attention", attention},
    {"attention_panels", attention_panels},
    {"attention_tiles", attention_tiles},
    {"convolution", convolution},
    {"planes", planes},
    {"filters", filters},
    {"singles", singles},
    {"pool", pool},
    {"gather", gather},
};

const char* kiln_kernel_source(const char* name) {
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
    if (strcmp(sources[i].name, name) == 0) return sources[i].text;
  return NULL;
}

const char* kiln_kernel_name(size_t index) {
  return index < sizeof sources / sizeof *sources ? sources[index].name : NULL;
}
