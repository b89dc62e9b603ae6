"""One module per program.

Each says what it needs and what it does:

    PACKAGES            Debian packages to install
    PROGRAMS            executables that must be there
    run(stage) -> dict  works the program on the stage; returns facts, all text, that must not
                        depend on the allocator
"""
