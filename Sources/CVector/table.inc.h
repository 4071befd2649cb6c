// A table reads better in its own lines.
// clang-format off
// The names of this ISA's loops.
#define ROW_U(name, dtype, suffix) {#name, dtype, KV_VV, KV(name##suffix)},
#define ROW_B(name, dtype, suffix)                                                                                     \
  {#name, dtype, KV_VV, KV(name##suffix##_vv)}, {#name, dtype, KV_VS, KV(name##suffix##_vs)},                          \
      {#name, dtype, KV_SV, KV(name##suffix##_sv)},
#define ROW_FLOATS(name) ROW_U(name, KV_F32, _f32) ROW_U(name, KV_F64, _f64)
#define ROW_BINARY_FLOATS(name) ROW_B(name, KV_F32, _f32) ROW_B(name, KV_F64, _f64)
#define ROW_INTEGERS(dtype, suffix)                                                                                    \
  ROW_U(negate, dtype, suffix)                                                                                         \
  ROW_U(abs, dtype, suffix)                                                                                            \
  ROW_U(sign, dtype, suffix)                                                                                           \
  ROW_U(square, dtype, suffix)                                                                                         \
  ROW_U(relu, dtype, suffix)                                                                                           \
  ROW_B(add, dtype, suffix) ROW_B(subtract, dtype, suffix) ROW_B(multiply, dtype, suffix)                              \
      ROW_B(maximum, dtype, suffix) ROW_B(minimum, dtype, suffix)
#define ROW_COMPARISONS(dtype, suffix)                                                                                 \
  ROW_B(equal, dtype, suffix)                                                                                          \
  ROW_B(notEqual, dtype, suffix)                                                                                       \
  ROW_B(less, dtype, suffix)                                                                                           \
  ROW_B(lessEqual, dtype, suffix) ROW_B(greater, dtype, suffix) ROW_B(greaterEqual, dtype, suffix)
// Casts are named by their target, looked up by their source.
#define ROW_CASTS(dtype, suffix)                                                                                       \
  {"cast_i32", dtype, KV_VV, KV(cast_i32##suffix)}, {"cast_i64", dtype, KV_VV, KV(cast_i64##suffix)},                  \
      {"cast_u8", dtype, KV_VV, KV(cast_u8##suffix)}, {"cast_bool", dtype, KV_VV, KV(cast_bool##suffix)},
// Loops that only move data are looked up by a dtype of their size.
#define ROW_MOVES(dtype, suffix) ROW_B(select, dtype, suffix) ROW_U(fill, dtype, suffix) ROW_U(copy, dtype, suffix)

const kv_entry KV(entries)[] = {
    ROW_FLOATS(negate) ROW_FLOATS(abs) ROW_FLOATS(sign) ROW_FLOATS(square) ROW_FLOATS(reciprocal) ROW_FLOATS(sqrt)
        ROW_FLOATS(rsqrt) ROW_FLOATS(relu) ROW_FLOATS(floor) ROW_FLOATS(ceil) ROW_FLOATS(round) ROW_FLOATS(exp)
            ROW_FLOATS(expm1) ROW_FLOATS(log) ROW_FLOATS(log1p) ROW_FLOATS(sin) ROW_FLOATS(cos) ROW_FLOATS(tan)
                ROW_FLOATS(tanh) ROW_FLOATS(sigmoid) ROW_FLOATS(erf) ROW_FLOATS(softplus) ROW_FLOATS(gelu) ROW_FLOATS(geluDerivative) ROW_FLOATS(isNaN)
                    ROW_FLOATS(isFinite) ROW_BINARY_FLOATS(add) ROW_BINARY_FLOATS(subtract) ROW_BINARY_FLOATS(multiply)
                        ROW_BINARY_FLOATS(divide) ROW_BINARY_FLOATS(maximum) ROW_BINARY_FLOATS(minimum)
                            ROW_BINARY_FLOATS(power) ROW_BINARY_FLOATS(remainder) ROW_BINARY_FLOATS(arctangent2)
                            ROW_U(erfInverse, KV_F32, _f32) ROW_U(logSigmoid, KV_F32, _f32) ROW_INTEGERS(KV_I32, _i32) ROW_INTEGERS(KV_I64, _i64)
                                ROW_INTEGERS(KV_U8, _u8) ROW_COMPARISONS(KV_F32, _f32) ROW_COMPARISONS(KV_F64, _f64)
                                    ROW_COMPARISONS(KV_I32, _i32) ROW_COMPARISONS(KV_I64, _i64)
                                        ROW_COMPARISONS(KV_U8, _u8) ROW_COMPARISONS(KV_BOOL, _bool)
                                            ROW_U(logicalNot, KV_BOOL, _bool) ROW_B(and, KV_BOOL, _bool)
                                                ROW_B(or, KV_BOOL, _bool) ROW_B(xor, KV_BOOL, _bool)
    // max and min of bool, for any and all.
    ROW_B(maximum, KV_BOOL, _u8) ROW_B(minimum, KV_BOOL, _u8) ROW_CASTS(KV_F32, _f32) ROW_CASTS(KV_F64, _f64)
        ROW_CASTS(KV_I32, _i32) ROW_CASTS(KV_I64, _i64) ROW_CASTS(KV_U8, _u8)
            ROW_CASTS(KV_BOOL, _bool){"cast_f64", KV_F32, KV_VV, KV(cast_f64_f32)},
    {"cast_f32", KV_F64, KV_VV, KV(cast_f32_f64)},
    {"cast_f32", KV_I32, KV_VV, KV(cast_f32_i32)},
    {"cast_f64", KV_I32, KV_VV, KV(cast_f64_i32)},
    {"cast_f32", KV_I64, KV_VV, KV(cast_f32_i64)},
    {"cast_f64", KV_I64, KV_VV, KV(cast_f64_i64)},
    {"cast_f32", KV_U8, KV_VV, KV(cast_f32_u8)},
    {"cast_f64", KV_U8, KV_VV, KV(cast_f64_u8)},
    {"cast_f32", KV_BOOL, KV_VV, KV(cast_f32_bool)},
    {"cast_f64", KV_BOOL, KV_VV, KV(cast_f64_bool)},
    ROW_MOVES(KV_F32, _4) ROW_MOVES(KV_I32, _4) ROW_MOVES(KV_F64, _8) ROW_MOVES(KV_I64, _8) ROW_MOVES(KV_U8, _1)
        ROW_MOVES(KV_BOOL, _1){"uniform", KV_F32, KV_VV, KV(uniform_f32)},
    {"uniform", KV_F64, KV_VV, KV(uniform_f64)},
    {"normal", KV_F32, KV_VV, KV(normal_f32)},
    {"normal", KV_F64, KV_VV, KV(normal_f64)},
    {"bits", KV_I64, KV_VV, KV(bits_i64)},
    {"iota", KV_I64, KV_VV, KV(iota_i64)},
    {NULL, 0, 0, NULL},
};

// clang-format on

const kv_kernels KV(kernels) = {
    .sum_f32 = KV(sum_f32),
    .sum_f64 = KV(sum_f64),
    .product_f32 = KV(product_f32),
    .product_f64 = KV(product_f64),
    .max_f32 = KV(max_f32),
    .min_f32 = KV(min_f32),
    .max_f64 = KV(max_f64),
    .min_f64 = KV(min_f64),
    .softmax_f32 = KV(softmax_f32),
    .log_softmax_f32 = KV(log_softmax_f32),
    .layer_norm_f32 = KV(layer_norm_f32),
    .rms_norm_f32 = KV(rms_norm_f32),
    .cross_entropy_f32 = KV(cross_entropy_f32),
    .cross_entropy_gradient_f32 = KV(cross_entropy_gradient_f32),
    .softmax_gradient_f32 = KV(softmax_gradient_f32),
    .log_softmax_gradient_f32 = KV(log_softmax_gradient_f32),
    .norm_gradient_f32 = KV(norm_gradient_f32),
    .dot_f32 = KV(dot_f32),
    .axpy_f32 = KV(axpy_f32),
    .axpy_f64 = KV(axpy_f64),
    .adam_f32 = KV(adam_f32),
    .direct_filters = DIRECT_FILTERS,
    .direct_taps = DIRECT_VECTORS,
    .direct_rows = KV(direct_rows),
    .direct_dots = KV(direct_dots),
    .pool_max_f32 = KV(pool_max_f32),
    .pool_max_gradient_f32 = KV(pool_max_gradient_f32),
    .has_fast_products = KV_HAS_MASKS,
    .product = KV(product),
    .pack_panels = KV(pack_panels),
    .pixels_from_planes = KV(pixels_from_planes),
    .planes_from_pixels = KV(planes_from_pixels),
    .winograd_input = KV(winograd_input),
    .winograd_output = KV(winograd_output),
    .winograd_output_gradient = KV(winograd_output_gradient),
    .winograd_filter = KV(winograd_filter),
    .winograd_filter_gradient = KV(winograd_filter_gradient),
    .attention_pack_rows = KV(attention_pack_rows),
    .attention_unpack_rows = KV(attention_unpack_rows),
    .attention_exp_rows = KV(attention_exp_rows),
    .attention_gradient_rows = KV(attention_gradient_rows),
};
