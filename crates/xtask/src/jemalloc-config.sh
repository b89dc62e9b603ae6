#!/bin/sh
# Tells how to compile and link with the installed library: the questions that build systems put to jemalloc-config.
prefix=@prefix@

usage() {
    cat <<'END'
usage: jemalloc-config QUESTION...
  --version --revision --config           what is installed, and how it was built
  --prefix --bindir --datadir --includedir --libdir --mandir
  --cc --cflags --cppflags --cxxflags --ldflags --libs
  --help
END
}

[ $# -gt 0 ] || { usage; exit 1; }
for question; do
    case $question in
        --help) usage ;;
        --version) echo "5.3.1-0-g6a656d6f78696465000000000000000000000000" ;;
        --revision) echo 2 ;;
        --config) echo "--prefix=$prefix" ;;
        --prefix) echo "$prefix" ;;
        --bindir) echo "$prefix/bin" ;;
        --datadir) echo "$prefix/share" ;;
        --includedir) echo "$prefix/include" ;;
        --libdir) echo "$prefix/lib" ;;
        --mandir) echo "$prefix/share/man" ;;
        --cc) echo cc ;;
        # The library is made by rustc: there are no flags of a C compiler to pass on.
        --cflags | --cxxflags | --ldflags | --cppflags) echo ;;
        --libs) echo "-lc" ;;
        *)
            echo "jemalloc-config: unknown question $question" >&2
            usage >&2
            exit 1
            ;;
    esac
done
