// Training's off-topic questions: patterns filled with words, with made-up words, or words in no
// order, so that what is declined is all that isn't arithmetic, not a list of things.
#include "eval/off_topic.h"

#include <algorithm>
#include <array>
#include <string>

#include "eval/wording.h"

namespace reckon::eval {
namespace {

constexpr auto kPatterns = std::to_array<std::string_view>({
    "Who is {}?",
    "What is {}?",
    "Who wrote {}?",
    "Where is {}?",
    "When was {} born?",
    "Tell me about {}.",
    "What is the capital of {}?",
    "Why is {} famous?",
    "Hello!",
    "Hi",
    "How are you?",
    "Good morning",
    "Thank you",
    "Who are you?",
    "What can you do?",
    "What is your name?",
    "Write a poem about {}.",
    "Write a story about {}.",
    "Explain {}.",
    "What does {} mean?",
    "How do I cook {}?",
    "How do I get to {}?",
    "What colour is {}?",
    "Translate {} into French.",
    "Translate \"{}\" into Chinese.",
    "Is {} dangerous?",
    "What is the best {}?",
    "Do you like {}?",
    "Can you recommend a {}?",
    "Who invented {}?",
    "When did {} begin?",
    "What happened in {y}?",
    "What happened to {} in {y}?",
    "Who won the cup in {y}?",
    "How old is {}?",
    "How tall is {}?",
    "How far away is {}?",
    "How many people live in {}?",
    "What language do people speak in {}?",
    "What is the weather like in {}?",
    "Will it rain in {} tomorrow?",
    "What time is it?",
    "What day is it today?",
    "Write a function in Python that sorts {}.",
    "Fix this code: {}",
    "Summarize {}.",
    "What is the meaning of {}?",
    "Who painted {}?",
    "Who sang {}?",
    "What is the difference between {} and {}?",
    "Is {} better than {}?",
    "Give me a recipe for {}.",
    "Give me advice about {}.",
    "I feel sad about {}.",
    "I like {}.",
    "My {} is broken.",
    "What should I wear to {}?",
    "What should I do in {}?",
    "How does a {} work?",
    "How is {} made?",
    "Why do people like {}?",
    "What are the symptoms of {}?",
    "Can a {} swim?",
    "What do {} eat?",
    "Where do {} live?",
    "Name three kinds of {}.",
    "List some {}.",
    "Tell me a joke.",
    "Tell me a joke about {}.",
    "Sing a song about {}.",
    "What is the history of {}?",
    "Who is the president of {}?",
    "Who was the first {}?",
    "What year was {} founded?",
    "How much does a {} weigh?",
    "How much does a {} cost?",
    "Where can I buy {}?",
    "Which country makes {}?",
    "What is the population of {}?",
    "Describe {}.",
    "Define {}.",
    "Spell {}.",
    "What rhymes with {}?",
    "Is {} a noun or a verb?",
    "Correct my grammar: {}",
    "Write an email to {}.",
    "What is the plot of {}?",
    "Which planet is {}?",
    "What is {} made of?",
    "How do birds find {}?",
    "Why is {} so cold?",
    "Should I study {} or {}?",
    "What is the longest {} in the world?",
    "Help me with {}.",
    "Are you {}?",
    "Do you know {}?",
    "Have you heard of {}?",
    "Can you see {}?",
});
constexpr auto kThings = std::to_array<std::string_view>({
    "Paris",      "Napoleon",    "the moon",    "gravity",        "a cat",
    "democracy",  "Japan",       "music",       "coffee",         "a dragon",
    "the sun",    "Einstein",    "football",    "love",           "history",
    "a computer", "the ocean",   "chocolate",   "Shakespeare",    "photosynthesis",
    "a volcano",  "winter",      "Africa",      "the internet",   "a bicycle",
    "dogs",       "bread",       "New York",    "chess",          "evolution",
    "a doctor",   "rice",        "poetry",      "whales",         "electricity",
    "a train",    "Rome",        "war",         "peace",          "the king",
    "tea",        "a river",     "snow",        "movies",         "dinosaurs",
    "the brain",  "philosophy",  "flowers",     "money",          "a friend",
    "Mars",       "medicine",    "oil",         "the government", "art",
    "a violin",   "horses",      "the Bible",   "sleep",          "happiness",
    "time",       "iron",        "a lawyer",    "cheese",         "Germany",
    "Brazil",     "my computer", "a good book", "the stars",      "a phone",
    "bacteria",   "insects",     "climate",     "school",         "work",
});
constexpr auto kChinesePatterns = std::to_array<std::string_view>({
    "{}是什么？",
    "{}是谁？",
    "请介绍一下{}。",
    "{}在哪里？",
    "你喜欢{}吗？",
    "为什么{}很有名？",
    "怎么做{}？",
    "给我讲一个关于{}的故事。",
    "写一首关于{}的诗。",
    "{}的首都是什么？",
    "你好",
    "你好吗？",
    "你是谁？",
    "你叫什么名字？",
    "你会做什么？",
    "今天天气怎么样？",
    "谢谢",
    "{}是什么意思？",
    "谁发明了{}？",
    "谁写了{}？",
    "什么时候有了{}？",
    "把{}翻译成英文。",
    "{}和{}有什么区别？",
    "{}好吃吗？",
    "怎样学习{}？",
    "我想去{}，有什么建议？",
    "请解释{}。",
    "{}有多高？",
    "{}有多少人口？",
    "{}的历史是什么？",
    "推荐一本关于{}的书。",
    "今天是星期几？",
    "现在几点？",
    "明天{}会下雨吗？",
    "我不开心，怎么办？",
    "讲个笑话。",
    "唱一首歌。",
    "{}年发生了什么？",
    "谁是{}的总统？",
    "{}的作者是谁？",
    "如何保护{}？",
    "{}为什么重要？",
    "世界上最大的{}是什么？",
    "{}吃什么？",
    "{}的颜色是什么？",
    "帮我写一封信给{}。",
    "{}怎么用？",
    "哪里可以买到{}？",
    "{}是哪个国家的？",
    "请总结{}。",
    "早上好",
    "再见",
    "你觉得{}怎么样？",
    "有没有{}？",
    "我的{}坏了。",
    "{}对身体好吗？",
    "请问{}怎么走？",
    "中国有哪些{}？",
    "什么是最好的{}？",
    "请用{}造句。",
});
constexpr auto kChineseThings = std::to_array<std::string_view>({
    "北京",   "月亮", "猫",   "音乐", "咖啡", "历史", "电脑",   "大海",   "巧克力", "足球", "爱情",
    "日本",   "太阳", "龙",   "茶",   "医生", "米饭", "火车",   "春节",   "功夫",   "长城", "孔子",
    "大熊猫", "电影", "手机", "学校", "哲学", "花",   "钱",     "朋友",   "火星",   "药",   "石油",
    "政府",   "艺术", "马",   "睡眠", "幸福", "时间", "铁",     "律师",   "奶酪",   "德国", "巴西",
    "星星",   "昆虫", "气候", "工作", "冬天", "非洲", "互联网", "自行车", "狗",     "面包", "纽约",
    "象棋",   "鲸鱼", "河",   "雪",   "战争", "和平", "上海",   "广州",   "唐朝",   "诗歌", "书法",
    "饺子",   "豆腐", "老师", "妈妈", "地球", "科学",
});
// Common characters from which phrases without meaning are made.
constexpr std::string_view kCharacters =
    "的一是了我不人在他有这上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去"
    "能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日"
    "手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明"
    "问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部"
    "水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记"
    "处让母父应直字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通"
    "师立象数四失满战远格士音轻目条呢";

std::string made_up(Random& random, bool chinese) {
  std::string text;
  if (chinese) {
    const int64_t n = random.between(1, 4);
    for (int64_t i = 0; i < n; ++i)
      text += kCharacters.substr(3 * random.index(kCharacters.size() / 3), 3);
    return text;
  }
  const int64_t n = random.between(3, 9);
  for (int64_t i = 0; i < n; ++i) {
    text +=
        random.pick(i % 2 == 0 ? std::string_view("bcdfghklmnprstvwz") : std::string_view("aeiou"));
  }
  if (random.chance(40)) text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

}  // namespace

Problem off_topic_problem(std::string_view question, bool chinese) {
  Problem problem{};
  problem.kind = "off_topic";
  problem.rule = "text";
  problem.question = question;
  problem.content = question;
  problem.thought =
      chinese ? "这不是算术，也不是数字谜题。" : "This is no sum and no number puzzle.";
  problem.answer = chinese ? kDeclineChinese : kDeclineEnglish;
  return problem;
}

Problem make_off_topic(Random& random) {
  const bool chinese = random.chance(45);
  const auto thing = [&]() -> std::string {
    if (random.chance(40)) return made_up(random, chinese);
    return std::string(chinese ? random.pick(kChineseThings) : random.pick(kThings));
  };
  // Now and then words in no order at all.
  if (random.chance(15)) {
    std::string text;
    const int64_t n = random.between(2, 9);
    for (int64_t i = 0; i < n; ++i) text += (i > 0 && !chinese ? " " : "") + thing();
    return off_topic_problem(text + (chinese ? "？" : "?"), chinese);
  }
  const std::string_view pattern = chinese ? random.pick(kChinesePatterns) : random.pick(kPatterns);
  std::string text = fill(pattern, {thing(), thing()});
  const std::string year = std::to_string(random.between(1000, 2025));
  if (const size_t at = text.find("{y}"); at != std::string::npos) text.replace(at, 3, year);
  return off_topic_problem(chinese ? text : casual(random, text), chinese);
}

}  // namespace reckon::eval
