/**
 * @file gather.hpp
 * All of them: `auto [page, size] = co_await kolk::gather(fetch(url), measure(file))`.
 */
#ifndef KOLK_GATHER_HPP
#define KOLK_GATHER_HPP

#include <kolk/spawn.hpp>

#include <array>
#include <span>
#include <tuple>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* What is gathered: tasks are spawned, whatever else is kept or copied. The flag says whether the result may be moved out. */
template <class Running, bool Own>
struct gathered {
    using value_type = typename Running::value_type;
    Running running;

    something<value_type> value() const {
        void *pointer = nullptr;
        kolk_future_result(running.get(), &pointer);
        if constexpr (Own)
            return claim<value_type>(running, pointer);
        else
            return payload<value_type>::copy(pointer);
    }
};

template <class T>
gathered<task_handle<T>, true> begin_gathered(task<T> &&source) noexcept {
    return {spawn(std::move(source))};
}
template <class T>
gathered<task_handle<T>, true> begin_gathered(task_handle<T> &&source) noexcept {
    return {std::move(source)};
}
template <class T>
gathered<task_handle<T>, false> begin_gathered(const task_handle<T> &source) noexcept {
    return {source};
}
template <class T>
gathered<future<T>, true> begin_gathered(future<T> &&source) noexcept {
    return {std::move(source)};
}
template <class T>
gathered<future<T>, false> begin_gathered(const future<T> &source) noexcept {
    return {source};
}

template <class... Each>
class gathering {
  public:
    explicit gathering(Each &&...each) noexcept : each_(std::move(each)...) {
        std::apply(
            [this](auto &...one) {
                ((status_ = status_ < 0 ? status_ : one.running.begin_status()), ...);
                std::array<kolk_future *, sizeof...(Each)> futures{one.running.get()...};
                kolk_future *made = nullptr;
                if (status_ >= 0)
                    status_ = kolk_gather(kolk_loop_current(), futures.data(), futures.size(), 0, &made);
                all_ = any_future(made);
                if (status_ < 0)
                    (one.running.cancel(), ...);
            },
            each_);
    }

    kolk_future *get() const noexcept { return all_.get(); }
    int begin_status() const noexcept { return status_; }
    std::tuple<something<typename Each::value_type>...> values() const {
        return std::apply(
            [](const auto &...one) { return std::tuple<something<typename Each::value_type>...>(one.value()...); }, each_);
    }

  private:
    std::tuple<Each...> each_;
    any_future all_;
    int status_ = 0;
};

template <class... Each>
struct awaiter_for<gathering<Each...>> {
    using base = future_awaiter<void, kept<gathering<Each...>>>;
    using values = std::tuple<something<typename Each::value_type>...>;

    struct type : base {
        explicit type(gathering<Each...> &&source) noexcept : base(kept(std::move(source))) {}
        result<values> take() {
            result<void> all = base::take();
            return all ? result<values>(this->keeper().values()) : result<values>(all.error());
        }
    };
};

} // namespace detail

/**
 * Awaited, the results of all, in order, as a std::tuple; kolk::nothing stands for void. Tasks are spawned on the loop that is
 * running. When one fails, so does the whole at once, with its error, and the others go on. Cancelling the task that awaits
 * this cancels all of them.
 */
template <class... Source>
requires(requires(Source &&one) { detail::begin_gathered(std::forward<Source>(one)); } &&
         ...) auto gather(Source &&...source) noexcept {
    return detail::gathering(detail::begin_gathered(std::forward<Source>(source))...);
}

/** As many as there are, of one kind: awaited, nothing; then ask each for its result. */
template <class Running, size_t Count>
future<void> gather(std::span<Running, Count> all) noexcept {
    auto *futures = new (std::nothrow) kolk_future *[all.size() + 1];
    if (!futures)
        return future<void>::failed(KOLK_ENOMEM);
    int status = 0;
    for (size_t i = 0; i < all.size(); i++) {
        futures[i] = all[i].get();
        status = status < 0 ? status : all[i].begin_status();
    }
    kolk_future *made = nullptr;
    if (status >= 0)
        status = kolk_gather(kolk_loop_current(), futures, all.size(), 0, &made);
    delete[] futures;
    return future<void>::made(status, made);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
