#include "core/task/local.hh"

namespace kolk {

local_values *local_values::with_room_for(loop &on, uint32_t capacity) noexcept {
    void *memory = on.objects.take(bytes(capacity));
    return memory ? ::new (memory) local_values(capacity) : nullptr;
}

void local_values::drop(loop &on, variable *what) noexcept {
    if (--what->refs > 0)
        return;
    destroy_userdata(what->destroy, what->value);
    on.objects.destroy(what);
}

void local_values::unref(loop &on) noexcept {
    if (--refs_ > 0)
        return;
    for (uint32_t i = 0; i < count_; i++)
        drop(on, entries()[i].what);
    on.objects.give(this, bytes(capacity_));
}

bool local_values::find(const void *key, void *&ret_value) const noexcept {
    for (uint32_t i = 0; i < count_; i++)
        if (entries()[i].key == key) {
            ret_value = entries()[i].what->value;
            return true;
        }
    return false;
}

int local_values::set(loop &on, local_values *&values, const void *key, void *value, kolk_destroy_fn destroy) noexcept {
    uint32_t count = values ? values->count_ : 0, at = 0;
    while (at < count && values->entries()[at].key != key)
        at++;
    auto *made = on.objects.create<variable>(value, destroy);
    if (!made)
        return KOLK_ENOMEM;
    uint32_t needed = at == count ? count + 1 : count;
    if (!values || values->refs_ > 1 || needed > values->capacity_) {
        auto *copy = with_room_for(on, needed + needed / 2 + 1);
        if (!copy) {
            on.objects.destroy(made);
            return KOLK_ENOMEM;
        }
        for (uint32_t i = 0; i < count; i++) {
            copy->entries()[i] = values->entries()[i];
            copy->entries()[i].what->refs++;
        }
        copy->count_ = count;
        if (values)
            values->unref(on);
        values = copy;
    }
    variable *old = at < count ? values->entries()[at].what : nullptr;
    values->entries()[at] = {key, made};
    values->count_ = needed;
    if (old)
        drop(on, old); /* last: what it calls may set another */
    return 0;
}

} // namespace kolk
