#include "core/reactor/reactor_table.hh"

#include <stdio.h>
#include <string.h>

namespace kolk {

namespace {

struct member {
    uint64_t bit; /* 0: required */
    size_t offset;
    const char *name;
};

constexpr member members[] = {
    {0, offsetof(kolk_reactor_ops, open), "open"},
    {0, offsetof(kolk_reactor_ops, close), "close"},
    {0, offsetof(kolk_reactor_ops, watch), "watch"},
    {0, offsetof(kolk_reactor_ops, collect), "collect"},
    {KOLK_REACTOR_WAIT | KOLK_REACTOR_WAIT_ANYWHERE, offsetof(kolk_reactor_ops, wait), "wait"},
    {KOLK_REACTOR_GET_FD, offsetof(kolk_reactor_ops, get_fd), "get_fd"},
    {KOLK_REACTOR_AFTER_FORK, offsetof(kolk_reactor_ops, after_fork), "after_fork"},
    {KOLK_REACTOR_SUBMIT, offsetof(kolk_reactor_ops, submit), "submit"},
    {KOLK_REACTOR_SUBMIT, offsetof(kolk_reactor_ops, cancel), "cancel"},
    {KOLK_REACTOR_CLOCK, offsetof(kolk_reactor_ops, now), "now"},
    {KOLK_REACTOR_STAY, offsetof(kolk_reactor_ops, stay), "stay"},
};

constexpr uint32_t required_size = offsetof(kolk_reactor_ops, collect) + sizeof(kolk_reactor_ops::collect);

} // namespace

bool is_reactor_name(const char *text) noexcept {
    for (size_t i = 0; text && i <= longest_reactor_name; i++) {
        char c = text[i];
        if (!c)
            return i > 0;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return false;
}

printable::printable(const char *from) noexcept {
    size_t i = 0;
    for (; from && from[i] && i < longest_reactor_name; i++)
        text[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    snprintf(text + i, sizeof text - i, "%s", from && from[i] ? "..." : "");
}

int copy_reactor(const kolk_reactor_ops *ops, const char *origin, kolk_reactor_ops &ret_copy, error **ret_error) noexcept {
    if (ops->abi != KOLK_REACTOR_ABI)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr,
                                  "%s: made for version %u of the reactor contract; this library has %u", origin, ops->abi,
                                  unsigned(KOLK_REACTOR_ABI)),
                       ret_error);
    if (ops->size < required_size)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the table says it has %u bytes; at least %u are needed",
                                  origin, ops->size, required_size),
                       ret_error);
    if (!is_reactor_name(ops->name))
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr,
                                  "%s: the name in the table is not 1 to %zu letters, digits, '_' and '-'", origin,
                                  longest_reactor_name),
                       ret_error);
    kolk_reactor_ops copy = {};
    memcpy(&copy, ops, ops->size < sizeof copy ? ops->size : sizeof copy);
    copy.size = sizeof copy;
    for (const member &each : members) {
        char *function = reinterpret_cast<char *>(&copy) + each.offset;
        constexpr char none[sizeof copy.open] = {};
        /* Half a pointer is none: the table may end in the middle of one. */
        if (each.offset + sizeof none > ops->size || (each.bit && !(copy.caps & each.bit)))
            memcpy(function, none, sizeof none);
        if (memcmp(function, none, sizeof none) == 0 && (!each.bit || copy.caps & each.bit))
            return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the table %s '%s', which is missing", origin,
                                      each.bit ? "announces" : "needs", each.name),
                           ret_error);
    }
    ret_copy = copy;
    return 0;
}

} // namespace kolk
