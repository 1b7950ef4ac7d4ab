/**
 * @file payload.hpp
 * How a value travels in the pointer that is a future's result.
 *
 * What fits into a pointer and can be copied as bytes is the pointer itself, numbers by value, as kolk's own operations do it:
 * a task<int> is awaited by C as `(intptr_t)result`. Owners of counted objects travel as the object. Anything else is put on
 * the heap, and belongs to the future.
 */
#ifndef KOLK_PAYLOAD_HPP
#define KOLK_PAYLOAD_HPP

#include <kolk/counted.hpp>
#include <kolk/result.hpp>

#include <cstring>
#include <new>
#include <type_traits>

namespace kolk {

/** Whether it fits into the pointer. */
template <class T>
concept fits_in_pointer = std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(void *);

/** Whether it is an owner of a counted object. */
template <class T>
concept owner = requires(T &self, typename T::object *object) {
    { T::ref(object) } -> std::same_as<typename T::object *>;
    { self.release() } -> std::same_as<typename T::object *>;
};

/**
 * How a T travels. `put` makes a pointer of it, and returns false when memory is gone; `take` makes a T of the pointer, for who
 * is the only one to ask; `copy` does so for others; `destroy` releases what the pointer `owns`.
 */
template <class T>
struct payload {
    static bool put(T &&value, void **ret_pointer) noexcept {
        *ret_pointer = new (std::nothrow) T(std::move(value));
        return *ret_pointer;
    }
    static T take(void *pointer) { return std::move(*static_cast<T *>(pointer)); }
    static T copy(void *pointer) {
        static_assert(std::is_copy_constructible_v<T>, "it can only be moved: co_await std::move(...)");
        return *static_cast<const T *>(pointer);
    }
    static constexpr bool owns = true;
    static constexpr kolk_destroy_fn destroy = [](void *pointer) { delete static_cast<T *>(pointer); };
};

template <fits_in_pointer T>
struct payload<T> {
    static bool put(T value, void **ret_pointer) noexcept {
        if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
            *ret_pointer = reinterpret_cast<void *>(static_cast<intptr_t>(value));
        } else {
            *ret_pointer = nullptr;
            if constexpr (!std::is_empty_v<T>)
                std::memcpy(ret_pointer, &value, sizeof value);
        }
        return true;
    }
    static T take(void *pointer) noexcept {
        if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
            return static_cast<T>(reinterpret_cast<intptr_t>(pointer));
        } else {
            alignas(T) std::byte bytes[sizeof(T)];
            std::memcpy(bytes, &pointer, sizeof bytes);
            return *std::launder(reinterpret_cast<T *>(bytes));
        }
    }
    static T copy(void *pointer) noexcept { return take(pointer); }
    static constexpr bool owns = false;
    static constexpr kolk_destroy_fn destroy = nullptr;
};

template <owner T>
struct payload<T> {
    static bool put(T &&value, void **ret_pointer) noexcept {
        *ret_pointer = value.release();
        return true;
    }
    static T take(void *pointer) noexcept { return share<T>(static_cast<typename T::object *>(pointer)); }
    static T copy(void *pointer) noexcept { return take(pointer); }
    static constexpr bool owns = true;
    static constexpr kolk_destroy_fn destroy = [](void *pointer) { T::unref(static_cast<typename T::object *>(pointer)); };
};

template <>
struct payload<void> {
    static bool put(nothing, void **ret_pointer) noexcept {
        *ret_pointer = nullptr;
        return true;
    }
    static nothing take(void *) noexcept { return {}; }
    static nothing copy(void *) noexcept { return {}; }
    static constexpr bool owns = false;
    static constexpr kolk_destroy_fn destroy = nullptr;
};

} // namespace kolk

#endif
