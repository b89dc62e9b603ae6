"""GCC: a generated C project and one C++ file full of templates, compiled, linked and run."""

import hashlib

PACKAGES = ("gcc", "g++", "libc6-dev", "make")
PROGRAMS = ("gcc", "g++", "make")
FILES = 4
FUNCTIONS = 20

MAKEFILE = """
objects = {objects} templates.o
program: $(objects)
\tg++ -o $@ $(objects)
%.o: %.c
\tgcc -O2 -Wall -c -o $@ $<
%.o: %.cc
\tg++ -O2 -std=c++17 -frandom-seed=1 -c -o $@ $<
"""

TEMPLATES = r"""
#include <map>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
template <int N> struct Fibonacci { static constexpr long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value; };
template <> struct Fibonacci<0> { static constexpr long value = 0; };
template <> struct Fibonacci<1> { static constexpr long value = 1; };
template <typename T, int N> struct Nest { std::map<int, typename Nest<std::vector<T>, N - 1>::type> m;
  using type = std::unordered_map<std::string, typename Nest<std::vector<T>, N - 1>::type>; };
template <typename T> struct Nest<T, 0> { using type = std::variant<T, std::string, std::tuple<int, T>>; };
extern "C" long templates(long x) {
  Nest<int, 4>::type nested; nested["a"]; std::map<std::string, long> counts;
  std::string text; for (int i = 0; i < 2000; i++) text += std::to_string(i * x % 97) + " ";
  std::regex number("([0-9]+) "); std::smatch m; auto rest = text.substr(0, 800);
  while (std::regex_search(rest, m, number)) { counts[m[1]]++; rest = m.suffix(); }
  return Fibonacci<80>::value % 1000 + counts.size() + nested.size();
}
"""


def run(stage):
    names = [f"part{n}" for n in range(FILES)]
    for n, name in enumerate(names):
        stage.write(f"{name}.c", _source(n))
    calls = "\n".join(f"  sum = sum * 31 + {name}(sum);" for name in names)
    prototypes = "\n".join(f"long {name}(long);" for name in [*names, "templates"])
    stage.write("main.c", f"#include <stdio.h>\n{prototypes}\nint main(void) {{\n  unsigned long sum = 1;\n{calls}\n"
                          '  printf("%lu %ld\\n", sum, templates(7));\n  return 0;\n}\n')
    stage.write("templates.cc", TEMPLATES)
    stage.write("Makefile", MAKEFILE.format(objects=" ".join(f"{n}.o" for n in [*names, "main"])))
    stage.command("make", "-j2", timeout=180, mapped=["make", "cc1", "cc1plus"])
    facts = {"program says": stage.command(stage.folder / "program")}
    for path in sorted(stage.folder.glob("*.o")) + [stage.folder / "program"]:
        facts[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return facts


def _source(part):
    """Functions with loops, switches and calls, enough to keep an optimiser busy."""
    lines = ["#include <stdlib.h>", "#include <string.h>"]
    for f in range(FUNCTIONS):
        cases = "\n".join(f"    case {c}: x ^= (x << {c % 13 + 1}) + {c * f + part}; break;" for c in range(24))
        lines.append(f"""
static long f{f}(long x, unsigned n) {{
  long table[{16 + f}]; memset(table, 0, sizeof table);
  for (unsigned i = 0; i < n; i++) {{
    switch ((unsigned long)x % 29) {{
{cases}
    default: x = x * 6364136223846793005L + {f}; break;
    }}
    table[i % {16 + f}] += x; {f"x += f{f - 1}(x & 15, i & 3);" if f else ""}
  }}
  return x + table[x & 7];
}}""")
    lines.append(f"long part{part}(long x) {{ return f{FUNCTIONS - 1}(x, 6); }}")
    return "\n".join(lines) + "\n"
