// Attention, softmax(scale * q k^T) v, and its gradient, with CAUSAL over the keys 0...i of query i. No [queries, keys]
// matrix goes to memory, and what a hidden key holds, NaN as well, changes nothing.
//
// Macros: NAME; T, float or double; CAUSAL; FORM_FORWARD, or the forms of the gradient. Rows of features are
// contiguous. The table holds for each batch element, from `offsets_at` on, the element offsets of its operands. Pasted
// behind this file, attention_tiles.cl (GPU style) or attention_panels.cl (CPU style) computes it.

#if !defined(NAME) || !defined(T)
#error "attention.cl: define NAME, T and a form"
#endif

#define FUNCTION_OF(name, part) name##_##part
#define FUNCTION_IN(name, part) FUNCTION_OF(name, part)
#define FUNCTION(part) FUNCTION_IN(NAME, part)

// How many keys query i sees.
#ifdef CAUSAL
#define SEEN(i) min((int)(i) + 1, keys)
#else
#define SEEN(i) keys
#endif

// Each operand: its buffer, where it begins, and from one of its rows to the next.
#define INPUT(x) GLOBAL const T *x, const long x##_at, const long x##_row,
#define OUTPUT(x) GLOBAL T *x, const long x##_at, const long x##_row,
#ifdef FORM_FORWARD
#define OPERANDS INPUT(q) INPUT(k) INPUT(v) OUTPUT(o)
#define OPERAND_COUNT 4
#else
#define OPERANDS INPUT(q) INPUT(k) INPUT(v) INPUT(g) OUTPUT(dq) OUTPUT(dk) OUTPUT(dv)
#define OPERAND_COUNT 7
#endif
#define SIZES                                                                                                          \
  GLOBAL const long *table, const long offsets_at, const int queries, const int keys, const int features,              \
      const int value_features, const T scale
// Operand x, the i-th, of batch element b.
#define OF(x, i) (x + x##_at + table[offsets_at + b * OPERAND_COUNT + i])
