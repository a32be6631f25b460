/* Raw names made readable, in each style. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "symbolizer/demangle.h"
#include "symbolizer/name_simple.h"

static char *demangled(const char *raw, enum name_style style)
{
	struct buf out = { 0 };

	name_demangle(raw, style, &out);
	return buf_take_str(&out);
}

#define CHECK(raw, style, expected)                                                                \
	do {                                                                                       \
		char *got_ = demangled(raw, style);                                                \
		assert_string_equal(got_, expected);                                               \
		free(got_);                                                                        \
	} while (0)

struct names {
	const char *raw, *full, *simple, *perl;
};

static void test_styles(void **state)
{
	static const struct names all[] = {
		{ "main", "main", "main", "main" },
		{ "_Z3fooi", "foo(int)", "foo", "foo" },
		{ "_Z3fooIiEvi", "void foo<int>(int)", "foo", "foo<int>" },
		{ "_ZN12_GLOBAL__N_13barEv", "(anonymous namespace)::bar()",
		  "(anonymous namespace)::bar", "(anonymous namespace)::bar" },
		{ "_ZNSt6vectorIiSaIiEE9push_backEOi",
		  "std::vector<int, std::allocator<int> >::push_back(int&&)",
		  "std::vector::push_back", "std::vector<int, std::allocator<int> >::push_back" },
		{ "_ZNKSt8functionIFvvEEclEv", "std::function<void ()>::operator()() const",
		  "std::function::operator()", "std::function<void " },
		{ "_ZZN1A1fEiENKUlPKcE_clES1_",
		  "A::f(int)::{lambda(char const*)#1}::operator()(char const*) const",
		  "A::f::{lambda(char const*)#1}::operator()", "A::f" },
		{ "_ZZNK1A1fEvENKUlSt6vectorIiSaIiEEE_clES2_",
		  "A::f() const::{lambda(std::vector<int, std::allocator<int> >)#1}::operator()("
		  "std::vector<int, std::allocator<int> >) const",
		  "A::f::{lambda(std::vector)#1}::operator()", "A::f" },
		{ "_Z1fIiEPFvcET_", "void (*f<int>(int))(char)", "f", "f<int>" },
		{ "_ZN1A3fooEPFviE", "A::foo(void (*)(int))", "A::foo", "A::foo" },
		{ "_ZThn8_N1A1fEv", "non-virtual thunk to A::f()", "non-virtual thunk to A::f",
		  "non-virtual thunk to A::f" },
		{ "_ZN3FooC2B5cxx11Ev", "Foo::Foo[abi:cxx11]()", "Foo::Foo",
		  "Foo::Foo[abi:cxx11]" },
		/* operators */
		{ "_ZltRK1AS1_", "operator<(A const&, A const&)", "operator<", "operator<" },
		{ "_ZlsIiEvT_", "void operator<< <int>(int)", "operator<<", "operator<< <int>" },
		{ "_ZN1AptEv", "A::operator->()", "A::operator->", "A::operator->" },
		{ "_ZN1AixEi", "A::operator[](int)", "A::operator[]", "A::operator[]" },
		{ "_ZN1AcviEv", "A::operator int()", "A::operator int", "A::operator int" },
		{ "_ZN1AcvSt6vectorIiSaIiEEEv",
		  "A::operator std::vector<int, std::allocator<int> >()", "A::operator std::vector",
		  "A::operator std::vector<int, std::allocator<int> >" },
		{ "_ZN1AcvPFviEEv", "A::operator void (*)(int)()", "A::operator void",
		  "A::operator void " },
		{ "_Znwm", "operator new(unsigned long)", "operator new", "operator new" },
		{ "_ZdaPv", "operator delete[](void*)", "operator delete[]", "operator delete[]" },
		/* Rust: legacy with its hash dropped, and v0 */
		{ "_ZN3foo3bar17h05af221e174051e9E", "foo::bar", "foo::bar", "foo::bar" },
		{ "_ZN60_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..Drop$GT$"
		  "4drop17h05af221e174051e9E",
		  "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
		  "<alloc::vec::Vec as core::ops::Drop>::drop",
		  "<alloc::vec::Vec<T> as core::ops::Drop>::drop" },
		{ "_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>", "std::mem::align_of",
		  "std::mem::align_of::<f64>" },
		{ "_RNvXs_C3fooNtB4_3BarNtB4_3Baz3qux", "<foo::Bar as foo::Baz>::qux",
		  "<foo::Bar as foo::Baz>::qux", "<foo::Bar as foo::Baz>::qux" },
		/* D */
		{ "_D3foo3barFiZv", "foo.bar(int)", "foo.bar", "foo.bar" },
		/* clone suffixes */
		{ "copy.cold", "copy", "copy", "copy.cold" },
		{ "copy.part.0.isra.0.cold", "copy", "copy", "copy.part.0.isra.0.cold" },
		{ "copy.constprop.12.lto_priv.3", "copy", "copy", "copy.constprop.12.lto_priv.3" },
		{ "_Z3fooi.llvm.123456", "foo(int)", "foo", "foo" },
		{ "_Z3fooi.cold", "foo(int)", "foo", "foo" },
		/* not clones, not names */
		{ ".cold", ".cold", ".cold", ".cold" },
		{ "x.5", "x.5", "x.5", "x.5" },
		{ "a.part.", "a.part.", "a.part.", "a.part." },
		{ "_Z", "_Z", "_Z", "_Z" },
		{ "", "", "", "" },
		/* no demangler in C knows constrained templates */
		{ "_Z1fITk1CiEvT_", "_Z1fITk1CiEvT_", "_Z1fITk1CiEvT_", "_Z1fITk1CiEvT_" },
		/* PLT stubs */
		{ "puts@plt", "puts@plt", "puts@plt", "puts@plt" },
		{ "_Z3fooi@plt", "foo(int)@plt", "foo@plt", "foo@plt" },
		/* Go's are as they are */
		{ "main.(*T).Do", "main.(*T).Do", "main.(*T).Do", "main.(*T).Do" },
		{ "a;\"b'", "a;\"b'", "a;\"b'", "a:b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		CHECK(all[i].raw, NAMES_FULL, all[i].full);
		CHECK(all[i].raw, NAMES_SIMPLE, all[i].simple);
		CHECK(all[i].raw, NAMES_PERL, all[i].perl);
		CHECK(all[i].raw, NAMES_RAW, all[i].raw);
	}
}

struct shortened {
	const char *name, *simple;
};

static void test_simplify_cxx_text(void **state)
{
	static const struct shortened all[] = {
		{ "f", "f" },
		{ "std::map<int, std::function<void (int)> >::find", "std::map::find" },
		{ "A<(1)<(2)>::f", "A::f" },
		{ "A<&(operator><B>(B))>::f", "A::f" },
		{ "A<&B::operator<>::f", "A::f" },
		{ "A<&B::operator->>::f", "A::f" },
		{ "A<&B::operator()>::operator()<int>", "A::operator()" },
		{ "operator<=> <A>", "operator<=>" },
		{ "operator>> <char>", "operator>>" },
		{ "my_operator<int>::f", "my_operator::f" },
		{ "operators::f<int>", "operators::f" },
		{ "std::enable_if<true, int>::type f<int>(int)", "f" },
		{ "int const& f<int>(int const&)", "f" },
		{ "decltype ((a)+(b)) f<int>(int)", "f" },
		{ "f(int) const::{lambda()#1}::operator()", "f::{lambda()#1}::operator()" },
		{ "f()::{unnamed type#1}::g", "f::{unnamed type#1}::g" },
		{ "(anonymous namespace)::A<(anonymous namespace)::B>::f",
		  "(anonymous namespace)::A::f" },
		{ "f(std::array<int, 3ul>&) &&", "f" },
		{ "operator\"\" _km", "operator\"\" _km" },
		{ "virtual thunk to A<int>::f(int)", "virtual thunk to A::f" },
		/* what does not match stays */
		{ "f<int", "f<int" },
		{ "f(int", "f(int" },
		{ "{lambda(", "{lambda(" },
		{ "(x)", "(x)" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct buf out = { 0 };
		name_simplify_cxx(all[i].name, strlen(all[i].name), &out);
		assert_string_equal(buf_str(&out), all[i].simple);
		buf_deinit(&out);
	}
}

static void test_simplify_rust_text(void **state)
{
	static const struct shortened all[] = {
		{ "a::b::{{closure}}", "a::b::{{closure}}" },
		{ "core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "core::ptr::drop_in_place" },
		{ "core::fmt::num::<impl core::fmt::Debug for u32>::fmt",
		  "core::fmt::num::<impl core::fmt::Debug for u32>::fmt" },
		{ "<F as core::ops::function::FnOnce<(A, B)>>::call_once",
		  "<F as core::ops::function::FnOnce>::call_once" },
		{ "<&T as core::fmt::Display>::fmt", "<&T as core::fmt::Display>::fmt" },
		{ "<<T as A<u8>>::B as C>::f::<u8>", "<<T as A>::B as C>::f" },
		{ "std::sys::backtrace::__rust_begin_short_backtrace::<fn() -> u8, ()>",
		  "std::sys::backtrace::__rust_begin_short_backtrace" },
		{ "<T as", "<T as" },
		{ "a>b", "a>b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct buf out = { 0 };
		name_simplify_rust(all[i].name, strlen(all[i].name), &out);
		assert_string_equal(buf_str(&out), all[i].simple);
		buf_deinit(&out);
	}
}

/* A name of 300 bytes that stands for 2^34 parts: stopped, cut, and valid text. */
static void test_monsters_are_cut(void **state)
{
	struct buf raw = { 0 };

	buf_add_str(&raw, "_Z1fI1AI1BE");
	for (int i = 2; i < 36; i++)
		buf_printf(&raw, "S0_IS%c_S%c_E", i < 10 ? '0' + i : 'A' + i - 10,
			   i < 10 ? '0' + i : 'A' + i - 10);
	buf_add_str(&raw, "Evv");
	char *got = demangled(buf_str(&raw), NAMES_FULL);
	assert_int_equal(strlen(got), 8192);
	assert_memory_equal(got, "void f<A<B>, A<A<B>, A<B> >, A<", 31);
	assert_string_equal(got + 8192 - 3, "\xe2\x80\xa6");
	free(got);
	got = demangled(buf_str(&raw), NAMES_SIMPLE);
	assert_true(strlen(got) <= 8192);
	free(got);

	/* Longer than what is looked at: as it is, but no longer than what is shown. */
	buf_clear(&raw);
	buf_add_str(&raw, "_Z40000");
	for (int i = 0; i < 20000; i++)
		buf_add_str(&raw, "\xc3\xa9");
	buf_add_str(&raw, "v");
	got = demangled(buf_str(&raw), NAMES_FULL);
	assert_in_range(strlen(got), 8190, 8192);
	assert_true(utf8_valid(got, strlen(got)));
	free(got);
	buf_deinit(&raw);
}

/* Nesting deeper than libiberty goes must not cost the stack. */
static void test_deep_nesting(void **state)
{
	struct buf raw = { 0 };

	buf_add_str(&raw, "_Z1f");
	for (int i = 0; i < 30000; i++)
		buf_add_char(&raw, 'P');
	buf_add_char(&raw, 'i');
	char *got = demangled(buf_str(&raw), NAMES_FULL);
	assert_memory_equal(got, "_Z1fPPPP", 8);
	free(got);
	buf_deinit(&raw);
}

static void test_appends(void **state)
{
	struct buf out = { 0 };

	buf_add_str(&out, "x ");
	name_demangle("_Z1fv", NAMES_FULL, &out);
	buf_add_str(&out, " ");
	name_demangle("_ZNSt3mapIiiE1fEv", NAMES_SIMPLE, &out);
	assert_string_equal(buf_str(&out), "x f() std::map::f");
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_styles),
		cmocka_unit_test(test_simplify_cxx_text),
		cmocka_unit_test(test_simplify_rust_text),
		cmocka_unit_test(test_monsters_are_cut),
		cmocka_unit_test(test_deep_nesting),
		cmocka_unit_test(test_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
