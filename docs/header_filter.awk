# Shows Doxygen the public headers as it needs them.
#
# The list of status codes in error.h makes enumerators, which Doxygen does not see. Each row
#
#     X(ECANCELED, -1, "the operation was cancelled")
#
# becomes "KOLK_ECANCELED = -1, /**< The operation was cancelled. */" where the enumeration uses the list.

/^ +X\(E[A-Z]+, -[0-9]+, "/ {
    name = $0
    sub(/^ +X\(/, "", name)
    sub(/,.*/, "", name)
    number = $0
    sub(/^[^,]*, /, "", number)
    sub(/,.*/, "", number)
    text = $0
    sub(/^[^"]*"/, "", text)
    sub(/".*/, "", text)
    rows[++count] = "    KOLK_" name " = " number ", /**< " toupper(substr(text, 1, 1)) substr(text, 2) ". */"
    next
}

/^#define KOLK_STATUSES\(X\)/ {
    print "#define KOLK_STATUSES(X)"
    next
}

/KOLK_STATUS_ENUMERATOR/ {
    if ($0 !~ /^#/)
        for (i = 1; i <= count; i++)
            print rows[i]
    next
}

# Marks for the compiler say nothing to a reader; the Doxyfile defines them away.
/^#define KOLK_(API|NOEXCEPT)/ { next }

# Doxygen would take a colon for a part of the name before it.
{
    gsub(/@ref owned_by_callee:/, "@ref owned_by_callee \"owned by the callee\":")
    gsub(/@ref borrowed:/, "@ref borrowed \"borrowed\":")
    print
}
