// What the compilers are profiled with: a file as C++ projects have them, heavy on templates.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

template <typename... T> struct Row : std::tuple<T...> {
	using std::tuple<T...>::tuple;
	template <std::size_t... I> std::size_t hash(std::index_sequence<I...>) const
	{
		std::size_t h = 0;
		((h = h * 31 + std::hash<std::decay_t<decltype(std::get<I>(*this))>>()(std::get<I>(*this))), ...);
		return h;
	}
	std::size_t hash() const { return hash(std::index_sequence_for<T...>()); }
};

template <typename T> T sum_of_squares(const std::vector<T> &values)
{
	return std::accumulate(values.begin(), values.end(), T(), [](T sum, T v) { return sum + v * v; });
}

template <typename Key, typename Value> std::size_t group(const std::vector<std::pair<Key, Value>> &pairs)
{
	std::map<Key, std::vector<Value>> sorted;
	std::unordered_map<Value, std::size_t> counts;

	for (const auto &[key, value] : pairs) {
		sorted[key].push_back(value);
		counts[value]++;
	}
	for (auto &[key, values] : sorted) {
		std::sort(values.begin(), values.end());
		values.erase(std::unique(values.begin(), values.end()), values.end());
	}
	return sorted.size() + counts.size();
}

template std::size_t group(const std::vector<std::pair<int, int>> &);
template std::size_t group(const std::vector<std::pair<int, std::string>> &);
template std::size_t group(const std::vector<std::pair<std::string, int>> &);
template std::size_t group(const std::vector<std::pair<std::string, double>> &);
template std::size_t group(const std::vector<std::pair<double, std::string>> &);
template std::size_t group(const std::vector<std::pair<long, float>> &);
template std::size_t group(const std::vector<std::pair<char, std::string>> &);
template std::size_t group(const std::vector<std::pair<unsigned, short>> &);

int main(int argc, char **argv)
{
	std::unordered_map<std::string, std::function<double(double)>> operations;
	std::map<std::string, std::vector<std::string>> groups;
	std::regex word("([a-z]+)\\s*=\\s*([0-9]+)");
	std::smatch match;
	std::string text = argc > 1 ? argv[1] : "answer = 42";

	operations["double"] = [](double v) { return v * 2; };
	if (std::regex_search(text, match, word))
		groups[match[1]].push_back(match[2]);
	Row<int, std::string, double, long, char> row(1, "x", 2.0, 3l, 'c');
	std::vector<Row<int, std::string>> rows(100, Row<int, std::string>(1, "a"));
	std::sort(rows.begin(), rows.end());
	std::stable_sort(rows.begin(), rows.end(), std::greater<>());
	auto shared = std::make_shared<std::vector<double>>(std::vector<double>{1, 2, 3});
	std::cout << row.hash() << ' ' << operations["double"](sum_of_squares(*shared)) << ' ' << groups.size()
		  << sum_of_squares(std::vector<int>{1, 2, 3}) << '\n';
}
